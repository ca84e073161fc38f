"""Catalog entries for the model registry: a predictor by its alias, and the decision to move one."""

import logging
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from kedro.io.core import AbstractDataset, DatasetError

from augury.datasets.predictor_dataset import PredictorDataset
from augury.errors import UserError
from augury.predictors import load_predictor
from augury.predictors.predictor_version import LOCAL, PredictorVersion
from augury.tracking.registry import CHAMPION, ModelRegistry, RegistryAddress, RegistryUser

logger = logging.getLogger(__name__)

PROMOTED = "promoted"


class RegisteredModelDataset(RegistryUser, AbstractDataset[NoReturn, PredictorVersion | None]):
    """Loads the version of a predictor's registered model that has an alias.

    With a ``filepath``, the predictor of that folder stands in where tracking is switched off or no version has the
    alias; the log says which one was loaded. Without one, a missing alias is None, and a missing registry an error.

    Examples:
        .. code-block:: yaml

            pdf_memory.champion:
              type: augury.datasets.registered_model.RegisteredModelDataset
              predictor: pdf_memory
              alias: champion
    """

    def __init__(
        self,
        *,
        predictor: str,
        alias: str = CHAMPION,
        filepath: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            predictor: Whose registered model; ``tracking.registered_model`` says what it is called.
            alias: The alias.
            filepath: Folder of a trained predictor that stands in, or its URL.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._predictor = predictor
        self._alias = alias
        self._local = None if filepath is None else PredictorDataset(filepath=filepath, predictor=predictor)
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> PredictorVersion | None:
        """Load the predictor; executes no code from the registry."""
        if self.registry is None and self._local is None:
            raise UserError(_no_registry(self._predictor))
        if self.registry is None:
            return self._stand_in("no model registry is set")
        if not self.registry.store_exists:
            return self._stand_in("the model registry is empty")
        registry = ModelRegistry.open(self.registry, self._predictor)
        version = registry.version(self._alias)
        if version is None:
            return self._stand_in(f"{registry.name} has no {self._alias}")
        predictor, problem = None, None
        with tempfile.TemporaryDirectory() as folder:
            files = registry.download(version, Path(folder))
            try:
                predictor = load_predictor(files, self._predictor)
            except UserError as error:
                problem = str(error).replace(str(files), f"{registry.name}/{version.number}")
        logger.info("%s: version %s (%s)", registry.name, version.number, self._alias)
        return PredictorVersion(registry.name, version.number, predictor, version.tags, problem)

    def _stand_in(self, reason: str) -> PredictorVersion | None:
        if self._local is None:
            return None
        predictor = self._local.load()
        trained = predictor.metadata.created_at
        logger.info("%s: %s; the local predictor of %s is used", self._predictor, reason, trained)
        return PredictorVersion(LOCAL, trained, predictor)

    def save(self, data: NoReturn) -> None:
        """Refused: versions are registered by training, aliases are moved by promotion."""
        raise DatasetError("A registered model can only be loaded.")

    def _describe(self) -> dict[str, Any]:
        return {"predictor": self._predictor, "alias": self._alias, "filepath": self._filepath}


class PromotionDataset(RegistryUser, AbstractDataset[dict[str, Any], dict[str, str]]):
    """Carries out a decision of ``promotion``: saves it as tags of the version, then moves the aliases.

    Loading returns where the aliases are.
    """

    def __init__(self, *, predictor: str, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            predictor: Whose registered model.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._predictor = predictor
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Alias -> number of its version."""
        address = self._address()
        return ModelRegistry.open(address, self._predictor).aliases() if address.store_exists else {}

    def save(self, data: dict[str, Any]) -> None:
        """Carry a decision out.

        Args:
            data: What the nodes of ``promotion`` decided: ``verdict``, ``reason``, ``decided_at``, ``challenger`` and
                ``champion`` with their ``version`` (or None), ``main`` with ``improvement`` and ``lower`` (or None).

        Raises:
            UserError: The champion is another one by now; nothing is promoted then.
        """
        address = self._address()
        challenger, champion = data["challenger"], data["champion"]
        if challenger is None:
            logger.info("%s: %s: %s", address.name_of(self._predictor), data["verdict"], data["reason"])
            return
        registry = ModelRegistry.open(address, self._predictor)
        compared = None if champion is None else champion["version"]
        number = challenger["version"]
        tags = {
            "augury.promotion": data["verdict"],
            "augury.promotion_reason": data["reason"],
            "augury.promotion_at": data["decided_at"],
            "augury.compared_with": compared or "none",
        }
        if main := data["main"]:
            tags |= {f"augury.promotion_{key}": f"{main[key]}" for key in ("metric", "improvement", "lower")}
        if data["verdict"] == PROMOTED:
            registry.promote(number, compared, tags)
        else:
            registry.tag(number, tags)
        logger.info("%s: version %s %s: %s", registry.name, number, data["verdict"], data["reason"])

    def _address(self) -> RegistryAddress:
        if self.registry is None:
            raise UserError(_no_registry(self._predictor))
        return self.registry

    def _describe(self) -> dict[str, Any]:
        return {"predictor": self._predictor}


def _no_registry(predictor: str) -> str:
    return (
        f"Promotion of {predictor} needs a model registry: switch tracking on in conf/<env>/tracking.yml, for example "
        "'tracking: {enabled: true, uri: sqlite:///mlflow.db}', and train."
    )
