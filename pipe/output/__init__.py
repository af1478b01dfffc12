"""What people and programs get to see: log, table, result file, step variables; nothing secret passes."""
