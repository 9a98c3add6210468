"""Whether meaning helps on a tissue: the arms that are compared, and what their scores say."""
