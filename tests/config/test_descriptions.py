"""Descriptions of settings: every setting has one, in complete sentences."""

import pytest

from incdet.config import sections
from incdet.config.descriptions import field_descriptions, section_summary
from incdet.config.sections import Section

SECTIONS = [
    value
    for value in vars(sections).values()
    if isinstance(value, type) and issubclass(value, Section) and value is not Section
]


def test_all_sections_are_tested():
    assert {"Config", "ScoresConfig", "SelectiveSearchConfig"} <= {section.__name__ for section in SECTIONS}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_is_described(section):
    assert list(field_descriptions(section)) == list(section.model_fields)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_descriptions_are_sentences(section):
    for name, text in {**field_descriptions(section), "": section_summary(section)}.items():
        assert text[0].isupper(), f"{name}: {text}"
        assert text.endswith("."), f"{name}: {text}"
        assert "  " not in text


def test_entries_of_several_lines_are_joined_and_other_parts_left_out():
    class Example(Section):
        """An example.

        Attributes:
            first: One line.
            second: Two lines: the second
                goes on here.

        Raises:
            Never: It is only a docstring.
        """

        first: int = 0
        second: int = 0

    expected = {"first": "One line.", "second": "Two lines: the second goes on here."}
    assert field_descriptions(Example) == expected
    assert section_summary(Example) == "An example."


def test_a_section_without_a_list_has_no_descriptions():
    class Bare(Section):
        value: int = 0

    assert field_descriptions(Bare) == {}
