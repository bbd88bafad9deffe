"""What the tasks of GLUE share (Wang et al. 2018, arXiv:1804.07461): their place on the hub."""

from distillery.data.task import Hub


def hub(config: str, text: str, text_pair: str | None = None, dev: str = "validation") -> Hub:
    """GLUE's test labels are secret, so its dev set is our test split."""
    return Hub(
        id="nyu-mll/glue",
        revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        splits={"train": "train", "test": dev},
        config=config,
        text=text,
        text_pair=text_pair,
    )
