"""Public faults of services of this make, as requests against this one. The numbers (A01…) are those of the list of cases."""
