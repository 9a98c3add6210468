"""What words and domains have in common with expression: what stands behind queries and the names of domains."""
