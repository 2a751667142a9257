"""The page of settings is what its generator writes, and every setting has a meaning."""

import generate_configuration


def test_the_page_of_settings_is_current() -> None:
    written = generate_configuration.PAGE.read_text(encoding="utf-8")
    assert written == generate_configuration.configuration_page(), "run: python docs/generate_configuration.py"


def test_every_setting_has_a_meaning() -> None:
    assert generate_configuration.missing_meanings() == []


def test_an_entry_for_several_names_belongs_to_each() -> None:
    text = "Summary.\n\nAttributes:\n    first, second: Their meaning\n        goes on.\n    third: Its own."
    summary, entries = generate_configuration.parse_docstring(text)
    assert summary == "Summary."
    assert entries == {"first": "Their meaning goes on.", "second": "Their meaning goes on.", "third": "Its own."}
