"""Language similarity measures, one module each (rows = target, columns = source)."""
