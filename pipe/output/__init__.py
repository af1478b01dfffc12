"""Everything that users and programs see: log, table, result file, step variables; without secrets."""
