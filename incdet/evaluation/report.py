"""The evaluation as a table for the terminal."""

import numpy as np
from rich.table import Table

from incdet.evaluation.average_precision import Evaluation


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """AP, recall and number of objects of every class that has any; the mean and the median last."""
    table = Table(title=title, show_footer=False)
    table.add_column("class")
    for heading in ("AP", "recall", "objects"):
        table.add_column(heading, justify="right")
    columns = (evaluation.average_precision, evaluation.recall, evaluation.num_objects)
    for name, ap, recall, count in zip(evaluation.class_names, *columns, strict=True):
        if count:
            table.add_row(name, f"{ap:.4f}", f"{recall:.4f}", str(count))
    table.add_section()
    recall = float(np.nanmean(evaluation.recall)) if evaluation.num_objects.any() else float("nan")
    total = str(int(evaluation.num_objects.sum()))
    table.add_row("mean (mAP)", f"{evaluation.mean_average_precision:.4f}", f"{recall:.4f}", total, style="bold")
    table.add_row("median", f"{evaluation.median_average_precision:.4f}", "", "")
    return table
