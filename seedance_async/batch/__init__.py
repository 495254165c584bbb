"""A night's work: a manifest's rows, planned, submitted once, downloaded and accounted for."""
