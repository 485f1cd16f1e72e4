"""One job: train a candidate, fold by fold."""
