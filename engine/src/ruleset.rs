//! A configuration compiled for judging: which rules look at a record, and for which subjects.
