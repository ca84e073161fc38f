"""Copies of training texts."""

import pytest

from augury.pipelines.model_training.text_augmentation import Augmentation, augment

TEXTS = ["One thing. Two things here; three of them! Four?", "alone", "No stop at the end of it"]


def test_nothing_is_made_by_default():
    assert augment(TEXTS, Augmentation(), seed=1) == []


def test_the_seed_decides_and_other_texts_do_not():
    settings = Augmentation(copies=3)
    made = augment(TEXTS, settings, seed=1)
    assert len(made) == 9
    assert made == augment(TEXTS, settings, seed=1)
    assert made != augment(TEXTS, settings, seed=2)
    assert augment([TEXTS[0], "other", "texts"], settings, seed=1)[::3] == made[::3]


def test_words_are_left_out():
    text = " ".join(f"w{number}" for number in range(2_000))
    copy = augment([text], Augmentation(copies=1, kinds=("word_dropout",), dropped_share=0.1), seed=3)[0].split()
    assert len(copy) == pytest.approx(1_800, abs=60)
    assert [word for word in text.split() if word in set(copy)] == copy
    assert augment(["alone"], Augmentation(copies=1, kinds=("word_dropout",), dropped_share=0.99), 0) == ["alone"]


def test_sentences_are_kept_in_a_row():
    sentences = ["One thing.", "Two things here;", "three of them!", "Four?"]
    pairs = {" ".join(sentences[at : at + 2]) for at in range(3)}
    settings = Augmentation(copies=20, kinds=("sentence_crop",))
    assert set(augment(TEXTS[:1], settings, seed=0)) == pairs
    assert set(augment(TEXTS[1:2], settings, seed=0)) == {"alone"}


def test_the_first_sentence_is_the_title():
    made = augment(TEXTS, Augmentation(copies=1, kinds=("title_only",)), seed=0)
    assert made == ["One thing.", "alone", TEXTS[2]]
