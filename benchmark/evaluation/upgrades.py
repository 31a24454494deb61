"""Figures that earlier releases stored, in today's form. Nothing is dropped in silence: what is not known stays."""

from __future__ import annotations

from typing import Any

from benchmark.evaluation.figures import SCHEMA

Json = dict[str, Any]

_CLOSED_SET = ("accuracy", "macro_recall", "macro_f1")
_LOOK_ALIKES = ("accuracy", "groups", "variants", "decisions", "unknown_classes")  # empty ones, of discovery cells
_CLUSTERS = ("purity", "nmi", "ari")


def upgraded(content: Json) -> Json:
    """The content of an evaluation.json in the form of this release.

    Raises:
        ValueError: it comes from a newer release.
        KeyError: it lacks what its schema has.
    """
    if content["schema"] > SCHEMA:
        raise ValueError(f"schema {content['schema']} is of a newer release; update osma-bench")
    return _from_1(dict(content)) if content["schema"] == 1 else content


def _from_1(old: Json) -> Json:
    old["schema"] = 2
    if "transductive_accuracy" in old:
        for name in _LOOK_ALIKES:
            old.pop(name)
        old["known_clusters"] = old.pop("known_groups")
        return {**old, "clusterings": [_clusters(row) for row in old.pop("clusterings")]}
    return {
        **_closed_set(old),
        "real": {
            "seen": old.pop("accuracy_seen_real"),
            "unseen": old.pop("accuracy_unseen_real"),
            "without_unseen": old.pop("accuracy_without_unseen_real"),
            "by_source": old.pop("accuracy_by_real_source"),
        },
        "unknown": _curves(old.pop("groups")),
        "variants": {name: _curves(curves) for name, curves in old.pop("variants").items()},
        "decisions": _decisions(old.pop("decisions")),
        "unknown_classes": [_renamed(row, "class", "name") for row in old.pop("unknown_classes")],
        "clusterings": [_clusters(_without(row, "of")) for row in old.pop("clusterings", [])],
        "epochs": [_epoch(row) for row in old.pop("curve", [])],
        **old,
    }


def _closed_set(old: Json) -> Json:
    figures = {name: old.pop(name) for name in _CLOSED_SET}
    rest = {name: old.pop(name) for name in ("classes_present", "confusion")}
    return {"closed_set": None if figures["accuracy"] is None else {"figures": figures, **rest}}


def _curves(groups: Json) -> Json:
    return {
        group: {"images": curve["images"], "figures": _present(_without(curve, "images"))}
        for group, curve in groups.items()
    }


def _decisions(old: Json) -> Json | None:
    if old["threshold"] is None:
        return None
    return {**old, "unknown_rejected": _present(old["unknown_rejected"])}


def _clusters(row: Json) -> Json:
    row = _renamed(_without(row, "by"), "groups", "clusters")
    figures = _present({name: row.pop(name) for name in _CLUSTERS})
    return {**row, "figures": figures}


def _epoch(row: Json) -> Json:
    auc = {name.removeprefix("auc_"): value for name, value in row.items() if name.startswith("auc_")}
    return {**{name: row[name] for name in ("stage", "epoch", "accuracy")}, "auc": _present(auc)}


def _present(figures: Json) -> Json:
    return {name: value for name, value in figures.items() if value is not None}


def _without(row: Json, name: str) -> Json:
    return {key: value for key, value in row.items() if key != name}


def _renamed(row: Json, old: str, new: str) -> Json:
    return {new if key == old else key: value for key, value in row.items()}
