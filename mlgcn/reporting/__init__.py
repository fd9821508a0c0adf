"""Tables, figures and the page of an evaluation, made from files alone; no model is needed."""

from mlgcn.reporting.page import write_page
from mlgcn.reporting.tables import as_text, summary_table

__all__ = ["as_text", "summary_table", "write_page"]
