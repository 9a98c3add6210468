"""From a table to domains that are written into it: the steps of a run of :func:`semst.tl.cluster`."""
