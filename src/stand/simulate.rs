//! A burner that is not there.
