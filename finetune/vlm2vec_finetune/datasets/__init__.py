"""Where pairs come from: a pairs file, a data set of one's own, or the public sets once downloaded."""
