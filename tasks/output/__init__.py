"""What tasks print: tables, plans, progress and errors."""
