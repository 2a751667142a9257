"""The page of settings is what its generator writes, and every setting of a detector has a meaning."""

import generate_configuration

from incdet.config.sections import Config


def test_the_page_of_settings_is_current() -> None:
    written = generate_configuration.PAGE.read_text(encoding="utf-8")
    assert written == generate_configuration.configuration_page(), "run: python docs/generate_configuration.py"


def test_every_setting_has_a_meaning() -> None:
    assert generate_configuration.missing_meanings(Config) == []


def test_a_section_is_described_once() -> None:
    page = generate_configuration.configuration_page()
    headings = [line for line in page.splitlines() if line.startswith("### ")]
    assert "### Detection: proposals.multibox" in headings
    assert not any(heading.endswith(": proposals.multibox") for heading in headings[1:] if "Training" in heading)
