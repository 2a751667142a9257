"""Names of shipped weights."""

from weights_files import refused

from incdet.networks.shipped_weights import find_weights


def test_an_unknown_name_lists_the_shipped_ones():
    refused(lambda: find_weights("googlenet-vok"), "googlenet-vok", "googlenet-voc")
