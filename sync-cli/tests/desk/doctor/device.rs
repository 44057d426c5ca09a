//! What is wrong on this machine, with a record, or with where the two ends stand.
