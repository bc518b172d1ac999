"""Reports: a schedule as one interactive HTML file."""

from ssmopt.export.report.page import report_html, save_report

__all__ = ["report_html", "save_report"]
