//! Notices leave the house: one file a channel, each with its settings, its code, its verdict and its tests.
