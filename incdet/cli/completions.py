"""Words that the shell completes besides commands and options; it completes names of files where none of them fits."""


def complete_recipe(incomplete: str) -> list[str]:
    """Returns the shipped recipes whose names begin like this."""
    from incdet.config.recipes import recipes

    return [name for name in recipes() if name.startswith(incomplete)]


def complete_weights(incomplete: str) -> list[str]:
    """Returns the shipped weights whose names begin like this."""
    from incdet.networks.shipped_weights import shipped_weights

    return [name for name in shipped_weights() if name.startswith(incomplete)]
