// The pointer over a chart of curves.
