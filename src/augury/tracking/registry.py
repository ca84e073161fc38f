"""The registered model of a predictor: its versions, and the aliases that say which one is in force.

``champion`` is the version that predicts, ``challenger`` the newest one that has not been promoted, ``previous`` the
champion before the present one. MLflow's stages are not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from augury.errors import UserError
from augury.tracking.connection import connect, explained, impatient
from augury.tracking.model import ARTIFACT
from augury.tracking.settings import Store, TrackingSettings, locate_store

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

_LONGEST_TAG = 5000
_PAGE = 200
_ATTEMPTS = 5


class ChampionChanged(UserError):
    """Somebody else moved the champion between the comparison and the promotion."""


@dataclass(frozen=True)
class RegistryAddress:
    """Where the models of a project are registered; nothing is opened yet."""

    store: Store
    models: str
    """Name of the registered models, with the placeholder ``{predictor}``."""
    env: str

    @classmethod
    def of(cls, settings: TrackingSettings, project: Path, env: str | None) -> "RegistryAddress | None":
        """The address that a project's settings name; None where tracking is switched off.

        Args:
            settings: The tracking settings.
            project: Folder of the project.
            env: Kedro environment; None means the default one.
        """
        if not settings.enabled:
            return None
        return cls(locate_store(settings, project, env), settings.registered_model, env or "local")

    @property
    def store_exists(self) -> bool:
        """Whether there is a store to read: opening an SQLite file that is not there would create it."""
        return self.store.database is None or self.store.database.exists()

    def name_of(self, predictor: str) -> str:
        """The name of a predictor's registered model."""
        return self.models.format(predictor=predictor, env=self.env)


class RegistryUser:
    """Base of datasets that are told by the tracking hook where the registry is."""

    registry: RegistryAddress | None = None
    """None: tracking is switched off, or the dataset is used outside of a Kedro project."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    number: str
    source: str
    """URI of the model's folder."""
    run_id: str | None
    created: datetime
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = field(default=())


class ModelRegistry:
    """The registered model of one predictor, reached by an ``MlflowClient`` of its own.

    What MLflow raises arrives as :class:`~augury.errors.UserError`, one line without credentials.
    """

    def __init__(self, client: Any, store: Store, name: str) -> None:
        """Take an open client.

        Args:
            client: An ``MlflowClient``.
            store: The client's store, for messages.
            name: Name of the registered model; it need not exist.
        """
        self.client = client
        self.store = store
        self.name = name

    @classmethod
    def open(cls, address: RegistryAddress, predictor: str) -> "ModelRegistry":
        """Reach a predictor's registered model, in seconds or not at all.

        Args:
            address: Where models are registered.
            predictor: The predictor.

        Raises:
            UserError: MLflow is missing, or the store cannot be used.
        """
        client, _ = connect(address.store, [])
        registry = cls(client, address.store, address.name_of(predictor))
        with impatient():
            registry.aliases()
        return registry

    def aliases(self) -> dict[str, str]:
        """Alias -> number of its version; empty where the model is not registered."""
        with explained(self.store):
            model = self._model()
            return {} if model is None else {alias: str(number) for alias, number in model.aliases.items()}

    def versions(self) -> list[ModelVersion]:
        """All versions, the newest first."""
        aliases = self.aliases()
        found: list[Any] = []
        token: str | None = None
        with explained(self.store):
            while True:
                page = self.client.search_model_versions(f"name='{self.name}'", max_results=_PAGE, page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        return sorted((_version(entry, aliases) for entry in found), key=lambda entry: -int(entry.number))

    def version(self, alias: str) -> ModelVersion | None:
        """The version that has an alias; None where there is none."""
        aliases = self.aliases()
        if alias not in aliases:
            return None
        with explained(self.store):
            return _version(self.client.get_model_version(self.name, aliases[alias]), aliases)

    def find(self, tag: str, value: str) -> ModelVersion | None:
        """The newest version with a tag of some value."""
        return next((entry for entry in self.versions() if entry.tags.get(tag) == value), None)

    def register(self, model_id: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """Make a logged model the newest version, and the challenger.

        Args:
            model_id: Id of the logged model.
            run_id: Id of the run that logged it.
            tags: Tags of the version.

        Returns:
            The new version.
        """
        with explained(self.store):
            self._create_model(tags)
            logged = self.client.get_logged_model(model_id)
            # A source such as 'models:/<id>' would be resolved through MLflow's process-wide tracking URI
            created = self.client.create_model_version(
                self.name,
                logged.artifact_location,
                run_id,
                tags=_cut(tags),
                await_creation_for=0,
                model_id=model_id,
            )
        self._make_newest_challenger()
        return _version(created, self.aliases())

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with explained(self.store):
            for key, value in _cut(tags).items():
                self.client.set_model_version_tag(self.name, number, key, value)

    def promote(self, number: str, champion: str | None, tags: Mapping[str, str]) -> None:
        """Make a version the champion, and the champion so far the previous one.

        Args:
            number: The version.
            champion: The champion that it was compared with; None: there was none.
            tags: Set on the version before the aliases move.

        Raises:
            ChampionChanged: The champion is another one by now.
        """
        self._expect(champion, number)
        self.tag(number, tags)
        aliases = self._expect(champion, number)
        with explained(self.store):
            if champion is not None:
                self.client.set_registered_model_alias(self.name, PREVIOUS, champion)
            self.client.set_registered_model_alias(self.name, CHAMPION, number)
            if aliases.get(CHALLENGER) == number:
                self.client.delete_registered_model_alias(self.name, CHALLENGER)

    def _expect(self, champion: str | None, number: str) -> dict[str, str]:
        """The aliases, if the champion is still the one that a version was compared with."""
        aliases = self.aliases()
        if aliases.get(CHAMPION) != champion:
            raise ChampionChanged(
                f"The champion of {self.name} changed while version {number} was compared with {_shown(champion)}: it "
                f"is {_shown(aliases.get(CHAMPION))} now. Nothing was promoted; run the promotion again."
            )
        return aliases

    def rollback(self) -> tuple[str | None, str]:
        """Give the previous champion its place back.

        Returns:
            The version that was the champion (None if there was none), and the one that is it now.

        Raises:
            UserError: There is no previous champion.
        """
        aliases = self.aliases()
        champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
        if previous is None or previous == champion:
            raise UserError(
                f"{self.name} has no previous champion to go back to; the champion is {_shown(champion)}. "
                "'python -m augury models' lists the versions."
            )
        if champion is not None:
            self.tag(champion, {"augury.rolled_back_at": datetime.now(UTC).isoformat(timespec="seconds")})
        with explained(self.store):
            self.client.set_registered_model_alias(self.name, CHAMPION, previous)
            self.client.delete_registered_model_alias(self.name, PREVIOUS)
        return champion, previous

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Fetch the files of a version's predictor.

        Args:
            version: The version.
            folder: Where to put them.

        Returns:
            The predictor's folder, for ``load_predictor``.
        """
        from mlflow.artifacts import download_artifacts

        with explained(self.store):
            path = download_artifacts(
                artifact_uri=f"{version.source.rstrip('/')}/artifacts/{ARTIFACT}",
                dst_path=str(folder),
                tracking_uri=self.store.uri,
                registry_uri=self.store.uri,
            )
        return Path(path)

    def _model(self) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _create_model(self, tags: Mapping[str, str]) -> None:
        from mlflow.exceptions import MlflowException

        if self._model() is not None:
            return
        predictor = {key: value for key, value in tags.items() if key == "augury.predictor"}
        try:
            self.client.create_registered_model(self.name, tags=predictor)
        except MlflowException:
            # Another run may have created it in the meantime
            if self._model() is None:
                raise

    def _make_newest_challenger(self) -> None:
        """Move the alias to the newest version, which need not be ours where two runs end at once."""
        for _ in range(_ATTEMPTS):
            newest = self.versions()[0]
            if CHALLENGER in newest.aliases:
                return
            with explained(self.store):
                self.client.set_registered_model_alias(self.name, CHALLENGER, newest.number)


def _version(entry: Any, aliases: Mapping[str, str]) -> ModelVersion:
    number = str(entry.version)
    return ModelVersion(
        number=number,
        source=str(entry.source),
        run_id=entry.run_id or None,
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        tags=dict(entry.tags),
        aliases=tuple(sorted(alias for alias, owner in aliases.items() if owner == number)),
    )


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:_LONGEST_TAG] for key, value in tags.items()}


def _shown(number: str | None) -> str:
    return "none" if number is None else f"version {number}"
