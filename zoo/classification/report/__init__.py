"""What the report of a classification test shows, for each mode."""

from zoo.classification.report.multi_label import multi_label_report
from zoo.classification.report.regression import regression_report
from zoo.classification.report.single_label import single_label_report

__all__ = ["multi_label_report", "regression_report", "single_label_report"]
