"""URIEL similarity against numbers computed straight from the arrays in lang2vec's package."""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import lang2vec.lang2vec
import numpy as np
import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.languages.locales import get_locale
from workflow_scripts.similarity.context import MeasureContext
from workflow_scripts.similarity.measures.uriel import facts, observed_share, uriel

DATA = Path(lang2vec.__file__).parent / "data"
LOCALES = ["de-DE", "sw-KE", "zh-CN", "eu-ES", "hi-IN"]
FILES = {  # feature set → file, prefix of its features
    "syntax_knn": ("feature_predictions.npz", "S_"),
    "phonology_knn": ("feature_predictions.npz", "P_"),
    "inventory_knn": ("feature_predictions.npz", "INV_"),
    "fam": ("family_features.npz", ""),
    "geo": ("geocoord_features.npz", ""),
}


@pytest.fixture(autouse=True)
def quick_lookup(monkeypatch):
    """lang2vec unpacks its array of names anew for every feature: seconds per code for `fam`."""

    def place(name, data):
        if not hasattr(data, "places"):
            data.places = {n: i for i, n in enumerate(data["feats"])}
        return data.places[name]

    monkeypatch.setattr(lang2vec.lang2vec, "get_feature_index", place)


@cache
def table(file):
    with np.load(DATA / file) as content:
        return {name: content[name] for name in content.files}


def vector(code, features):
    if features == "learned":
        return np.load(DATA / "learned.npy", encoding="latin1", allow_pickle=True).item()[code].astype(float)
    file, prefix = FILES[features]
    content = table(file)
    columns = np.char.startswith(content["feats"], prefix)
    return content["data"][list(content["langs"]).index(code), columns, 0].astype(float)


def cosine(x, y):
    return float(x @ y / np.sqrt(x @ x) / np.sqrt(y @ y))


def context(**codes):
    """Locales with made-up names: name → (uriel, uriel_family)."""
    languages = {n: {"uriel": a, "uriel_family": b} for n, (a, b) in codes.items()}
    return MeasureContext(list(codes), languages)


def real_context(locales=LOCALES):
    return MeasureContext(locales, {name: asdict(get_locale(name)) for name in locales})


@pytest.mark.parametrize("features", [*FILES, "learned"])
def test_cosine_of_the_packages_vectors(features):
    locales = [n for n in LOCALES if (features, n) not in {("fam", "eu-ES"), ("learned", "sw-KE")}]
    found = uriel(real_context(locales), features=features)
    code = "uriel_family" if features == "fam" else "uriel"
    vectors = [vector(getattr(get_locale(n), code), features) for n in locales]
    expected = [[cosine(x, y) for y in vectors] for x in vectors]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.min() < 0.99, "all the same"


def test_syntax_is_the_default():
    np.testing.assert_array_equal(uriel(real_context()), uriel(real_context(), features="syntax_knn"))


def test_a_concatenation_is_the_cosine_of_the_joined_vectors():
    found = uriel(real_context(["de-DE", "zh-CN"]), features="syntax_knn+geo")
    german, chinese = (np.concatenate([vector(c, "syntax_knn"), vector(c, "geo")]) for c in ("deu", "zho"))
    assert found[0, 1] == pytest.approx(cosine(german, chinese), abs=1e-9)
    assert found[0, 1] != pytest.approx(cosine(vector("deu", "geo"), vector("zho", "geo")), abs=1e-3)


def test_an_isolate_has_no_relatives():
    found = uriel(real_context(["de-DE", "eu-ES", "nl-NL"]), features="fam")
    assert found[1].tolist() == found[:, 1].tolist() == [0, 0, 0]
    assert found[0, 2] > 0


def test_family_uses_the_family_code_and_typology_the_other():
    mixed = context(x=("deu", "zho"), y=("zho", "deu"), z=("hin", "hin"))
    family, syntax = uriel(mixed, features="fam"), uriel(mixed)
    assert family[0, 2] == pytest.approx(cosine(vector("zho", "fam"), vector("hin", "fam")), abs=1e-9)
    assert syntax[0, 2] == pytest.approx(cosine(vector("deu", "syntax_knn"), vector("hin", "syntax_knn")), abs=1e-9)


@pytest.mark.parametrize("features", ["syntax_knn", "learned", "geo"])
def test_an_unknown_code_names_locale_code_and_remedy(features):
    with pytest.raises(XlmergeError, match=r"xx-XX.*does not know the code 'qqq'.*`languages:`"):
        uriel(context(de=("deu", "deu"), **{"xx-XX": ("qqq", "deu")}), features=features)


def test_an_all_zero_vector_names_locale_and_both_codes():
    assert not vector("nob", "fam").any()
    with pytest.raises(XlmergeError, match=r"nb-NO.*no fam features.*'nor'.*'nob'"):
        uriel(context(de=("deu", "deu"), **{"nb-NO": ("nor", "nob")}), features="fam")


def test_an_all_zero_part_of_a_concatenation_is_an_error():
    with pytest.raises(XlmergeError, match="nb-NO"):
        uriel(context(de=("deu", "deu"), **{"nb-NO": ("nor", "nob")}), features="syntax_knn+fam")


def test_observed_share_counts_features_that_some_source_has():
    content = table("features.npz")
    for code in ("ara", "arb", "lvs"):
        known = (content["data"][list(content["langs"]).index(code)] != -1).any(1)
        assert observed_share(code) == pytest.approx(known.mean(), abs=5e-5)
    assert observed_share("lvs") == 0 < observed_share("arb") < observed_share("ara") < 1


def test_facts_hold_the_observed_share_per_locale():
    assert facts(real_context(["de-DE", "sw-KE"])) == {
        "observed_share": {"de-DE": observed_share("deu"), "sw-KE": observed_share(get_locale("sw-KE").uriel)}
    }


def test_facts_name_the_locale_of_an_unknown_code():
    languages = context(de=("deu", "deu"), **{"xx-XX": ("qqq", "nld")})
    uriel(languages, features="fam")
    with pytest.raises(XlmergeError, match="xx-XX"):
        facts(languages)
