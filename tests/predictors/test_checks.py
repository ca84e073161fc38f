"""The contract test itself: it passes a sound predictor, and each of its checks catches a broken one."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from augury.predictors import REGISTRY, ColumnSpec, DataFacts, Metadata, Predictor
from augury.predictors.checks import CHECKS, check_predictor
from augury.predictors.contract import read_metadata
from augury.predictors.executed_code import code_files, executed_code

INPUTS = (
    ColumnSpec(name="size", dtype="number", minimum=0),
    ColumnSpec(name="pages", dtype="integer", nullable=True, minimum=1),
    ColumnSpec(name="kind", dtype="string", allowed=("scan", "text")),
    ColumnSpec(name="title", dtype="string", nullable=True),
    ColumnSpec(name="encrypted", dtype="boolean", nullable=True),
    ColumnSpec(name="surcharge", dtype="number", nullable=True, required=False),
)
OUTPUTS = (
    ColumnSpec(name="peak", dtype="number", minimum=0),
    ColumnSpec(name="heavy", dtype="boolean"),
    ColumnSpec(name="class", dtype="string", allowed=("small", "large")),
    ColumnSpec(name="pieces", dtype="integer"),
)
FRAME = pd.DataFrame(
    {
        "size": np.linspace(0.1, 30, 12) ** 2,
        "pages": [None, 1.0, 2.0, 7.0] * 3,
        "kind": ["scan", "text", "text"] * 4,
        "title": ["a", None, "ä€", "", "d", None] * 2,
        "encrypted": pd.Series([True, False, None] * 4, dtype="object"),
    }
)


class Sound(Predictor):
    """Keeps the contract."""

    family = "sound"

    def __init__(self, metadata, factor=1.7, example=None):
        super().__init__(metadata, example)
        self.factor = factor

    def _predict(self, table):
        peak = table["size"] * self.factor + table["surcharge"].fillna(0.25) + table["pages"].fillna(0)
        peak = peak + (table["encrypted"] == 1) * 0.1 + (table["kind"] == "scan") * 3.1 + (table["title"] == "a") / 7
        large = peak > 100
        pieces = np.ceil(peak / 10).astype("int64")
        return pd.DataFrame(
            {"peak": peak, "heavy": large, "class": np.where(large, "large", "small"), "pieces": pieces}
        )

    def _save(self, directory):
        (directory / "model.json").write_text(json.dumps({"factor": self.factor}))

    @classmethod
    def _load(cls, directory, metadata):
        return cls(metadata, **json.loads((directory / "model.json").read_text()))


class FamilyUnknown(Sound):
    pass


class DropsIncompleteRows(Sound):
    def _predict(self, table):
        return super()._predict(table[table["pages"].notna()])


class PredictsFloat32(Sound):
    def _predict(self, table):
        return super()._predict(table).astype({"peak": "float32"})


class ShowsWrongExample(Sound):
    def __init__(self, metadata, factor=1.7, example=None):
        super().__init__(
            metadata, factor, [{"size": 1.0, "pages": 1, "kind": "photo", "title": None, "encrypted": True}]
        )


class LosesIndex(Sound):
    def _predict(self, table):
        return super()._predict(table).reset_index(drop=True)


class CountsItsCalls(Sound):
    calls = 0

    def _predict(self, table):
        self.calls += 1
        found = super()._predict(table)
        return found.assign(peak=found["peak"] + 1e-9 * self.calls)


class ReturnsItsCache(Sound):
    def predict(self, frame):
        self.cache = getattr(self, "cache", {})
        if len(frame) not in self.cache:
            self.cache[len(frame)] = super().predict(frame)
        return self.cache[len(frame)]


class ChangesItsInput(Sound):
    def predict(self, frame):
        found = super().predict(frame)
        if isinstance(frame, pd.DataFrame) and len(frame):
            frame.loc[frame.index[0], "size"] = 1.0
        return found


class ComparesWithTheRowBefore(Sound):
    def _predict(self, table):
        found = super()._predict(table)
        return found.assign(peak=found["peak"] + 1e-9 * table["size"].shift().fillna(0))


class CentresTheBatch(Sound):
    def _predict(self, table):
        found = super()._predict(table)
        return found.assign(peak=found["peak"] + 1e-9 * table["size"].max())


class TakesColumnsByPlace(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame) and len(frame.columns) == len(FRAME.columns):
            frame = frame.set_axis(list(FRAME), axis=1)
        return super().predict(frame)


class TakesTheFirstOfTwoColumns(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame):
            frame = frame.loc[:, ~frame.columns.duplicated()]
        return super().predict(frame)


class FillsMissingColumns(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame):
            frame = frame.assign(size=frame.get("size", 0.0))
        return super().predict(frame)


class NeedsOptionalColumns(Sound):
    def predict(self, frame):
        found = super().predict(frame)
        if isinstance(frame, pd.DataFrame) and "surcharge" not in frame:
            found["peak"] += 1
        return found


class ReadsNumbersFromText(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame) and "size" in frame and frame["size"].dtype == object:
            frame = frame.assign(size=pd.to_numeric(frame["size"], errors="coerce").fillna(0))
        return super().predict(frame)


class LosesMissingValues(Sound):
    def _predict(self, table):
        found = super()._predict(table)
        return found.assign(peak=found["peak"] + 0 * table["pages"])


class ReplacesMissingByMean(Sound):
    def _predict(self, table):
        return super()._predict(table.assign(pages=table["pages"].fillna(table["pages"].mean()).fillna(0)))


class ClipsInfinity(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame) and "size" in frame and frame["size"].dtype != object:
            frame = frame.assign(size=frame["size"].clip(upper=1e300))
        return super().predict(frame)


class ClipsNegativeSizes(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame) and "size" in frame and frame["size"].dtype != object:
            frame = frame.assign(size=frame["size"].where(~frame["size"].between(-5, 0), 0))
        return super().predict(frame)


class FailsOnEmptyFrames(Sound):
    def predict(self, frame):
        if not len(frame):
            raise IndexError("no rows")
        return super().predict(frame)


class RefusesNullableTypes(Sound):
    def predict(self, frame):
        if isinstance(frame, pd.DataFrame) and any(isinstance(kind, pd.Int64Dtype) for kind in frame.dtypes):
            raise TypeError("Int64")
        return super().predict(frame)


class AnswersInPandas(Sound):
    def predict(self, frame):
        return super().predict(frame if isinstance(frame, pd.DataFrame) else frame.to_pandas())


class RoundsWhenLoaded(Sound):
    @classmethod
    def _load(cls, directory, metadata):
        predictor = super()._load(directory, metadata)
        predictor.factor = float(np.float32(predictor.factor))
        return predictor


class LosesItsMetadata(Sound):
    @classmethod
    def _load(cls, directory, metadata):
        return super()._load(directory, metadata.model_copy(update={"seed": 0}))


class LeavesABackup(Sound):
    def save(self, directory):
        super().save(directory)
        directory.with_name("backup").mkdir(exist_ok=True)


class SavesIntoWhatIsThere(Sound):
    def save(self, directory):
        kept = {path.name: path.read_bytes() for path in directory.glob("*")} if directory.exists() else {}
        super().save(directory)
        for name in kept:
            if not (directory / name).exists():
                (directory / name).write_bytes(kept[name])


class LoadsDefaults(Sound):
    @classmethod
    def load(cls, directory):
        metadata = Path(directory) / "metadata.json"
        return cls(read_metadata(directory) if metadata.exists() else METADATA)


class GuessesLostWeights(Sound):
    @classmethod
    def load(cls, directory):
        try:
            return super().load(directory)
        except Exception:
            return cls(read_metadata(directory), 1.0)


class SavesAPickle(Sound):
    def _save(self, directory):
        (directory / "model.bin").write_bytes(pickle.dumps({"factor": self.factor}))

    @classmethod
    def _load(cls, directory, metadata):
        return cls(metadata, **pickle.loads((directory / "model.bin").read_bytes()))  # noqa: S301


class SavesAnArrayOfObjects(Sound):
    def _save(self, directory):
        np.savez(directory / "model.npz", factor=np.array([self.factor], dtype=object))

    @classmethod
    def _load(cls, directory, metadata):
        return cls(metadata, np.load(directory / "model.npz", allow_pickle=True)["factor"][0])


class UnpicklesAClass(Sound):
    def _save(self, directory):
        # Protocol 0 is text: only the audit trail can tell
        (directory / "model.txt").write_bytes(pickle.dumps(np.float64(self.factor), protocol=0))

    @classmethod
    def _load(cls, directory, metadata):
        return cls(metadata, pickle.loads((directory / "model.txt").read_bytes()))  # noqa: S301


class StartsAProcess(Sound):
    @classmethod
    def _load(cls, directory, metadata):
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        return super()._load(directory, metadata)


class EvaluatesItsFile(Sound):
    @classmethod
    def _load(cls, directory, metadata):
        return cls(metadata, **eval((directory / "model.json").read_text()))  # noqa: S307


class IgnoresTheFamily(Sound):
    @classmethod
    def load(cls, directory):
        return cls._load(directory, read_metadata(directory))


METADATA = Metadata(
    predictor="toy",
    family="sound",
    task="regression",
    inputs=INPUTS,
    outputs=OUTPUTS,
    features=("size",),
    parameters={"nested": {"list": [1, 2.5, None]}},
    data=DataFacts(fingerprint="f" * 64, rows=3, groups=2, origin={"simulated": 3}),
    versions={},
    seed=42,
    git_commit=None,
    created_at="2026-01-01T00:00:00Z",
)

MUTANTS = [
    (FamilyUnknown, "metadata", "not in REGISTRY"),
    (DropsIncompleteRows, "output", "12 rows in, 9 rows out"),
    (PredictsFloat32, "output", "'peak' is of type float32"),
    (ShowsWrongExample, "example", "must be one of scan, text"),
    (LosesIndex, "index", "do not keep the index"),
    (CountsItsCalls, "no_memory", "the second time: 'peak'"),
    (ReturnsItsCache, "no_memory", "the second time: 'peak'"),
    (ChangesItsInput, "no_memory", "changed the frame"),
    (ComparesWithTheRowBefore, "row_order", "in another row order"),
    (CentresTheBatch, "single_rows", "as a single row"),
    (TakesColumnsByPlace, "columns", "'size' must not be missing"),
    (TakesTheFirstOfTwoColumns, "columns", "a repeated column is not refused"),
    (FillsMissingColumns, "missing_columns", "'size': a frame without it is not refused"),
    (NeedsOptionalColumns, "missing_columns", "without the optional column 'surcharge'"),
    (ReadsNumbersFromText, "types", "column 'size': 'a lot'"),
    (LosesMissingValues, "missing_values", "'peak' has missing values"),
    (ReplacesMissingByMean, "missing_values", "beside a row without 'pages'"),
    (ClipsInfinity, "infinity", "column 'size': inf"),
    (ClipsNegativeSizes, "ranges", "-1, below the minimum is not refused"),
    (FailsOnEmptyFrames, "empty_frame", "no rows"),
    (RefusesNullableTypes, "nullable_dtypes", "Int64"),
    (AnswersInPandas, "other_frames", "a pyarrow frame in, a DataFrame out"),
    (RoundsWhenLoaded, "round_trip", "after 1 round trip"),
    (LosesItsMetadata, "round_trip", "the metadata changes"),
    (LeavesABackup, "second_save", "beside its directory"),
    (SavesIntoWhatIsThere, "second_save", "left behind"),
    (LoadsDefaults, "absent_directory", "loading what is absent raises no UserError"),
    (GuessesLostWeights, "damaged_directory", "'model.json'"),
    (SavesAPickle, "files_hold_no_code", "model.bin"),
    (SavesAnArrayOfObjects, "files_hold_no_code", "model.npz!factor.npy"),
    (UnpicklesAClass, "loading_executes_nothing", "pickle.find_class"),
    (StartsAProcess, "loading_executes_nothing", "subprocess.Popen"),
    (EvaluatesItsFile, "loading_executes_nothing", "compile"),
    (IgnoresTheFamily, "family_is_no_path", "os:system"),
]


def build(predictor_class, monkeypatch):
    family = predictor_class.__name__
    monkeypatch.setattr(predictor_class, "family", family)
    if predictor_class is not FamilyUnknown:
        monkeypatch.setitem(REGISTRY, family, f"{__name__}:{family}")
    return predictor_class(METADATA.model_copy(update={"family": family}))


def run_check(name, predictor, directory):
    (check,) = [check for check in CHECKS if check.__name__ == f"check_{name}"]
    check(predictor, FRAME.copy(), directory)


def test_a_sound_predictor_passes(monkeypatch, tmp_path):
    check_predictor(build(Sound, monkeypatch), FRAME, tmp_path)


@pytest.mark.parametrize(("mutant", "check", "message"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_predictor_is_caught_by_the_check_of_what_it_breaks(mutant, check, message, monkeypatch, tmp_path):
    predictor = build(mutant, monkeypatch)
    with pytest.raises(AssertionError) as caught:
        run_check(check, predictor, tmp_path / "check")
    assert message in str(caught.value)


def test_every_check_catches_something():
    assert {check for _, check, _ in MUTANTS} == {check.__name__.removeprefix("check_") for check in CHECKS}


def test_check_predictor_runs_all_checks(monkeypatch, tmp_path):
    with pytest.raises(AssertionError, match=r"subprocess\.Popen"):
        check_predictor(build(StartsAProcess, monkeypatch), FRAME, tmp_path)


def test_executed_code_sees_a_module_of_the_directory(monkeypatch, tmp_path):
    (tmp_path / "sneaky_module_of_a_model.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = executed_code(lambda: __import__("sneaky_module_of_a_model"), tmp_path)
    assert any("sneaky_module_of_a_model" in line for line in found)


def test_executed_code_sees_a_shell_command_and_nothing_before_it(tmp_path):
    os.system("true")
    assert executed_code(lambda: None, tmp_path) == []
    assert len(executed_code(lambda: os.system("true"), tmp_path)) == 1


def test_code_files_leaves_numbers_alone(tmp_path):
    np.savez(tmp_path / "weights.npz", weights=np.arange(3.0))
    np.save(tmp_path / "weights.npy", np.arange(3.0))
    (tmp_path / "model.txt").write_text("tree\n")
    assert code_files(tmp_path) == []
