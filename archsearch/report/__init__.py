"""A study as a page, a table and figures; reads only."""
