//! Normalising and segmenting. Offsets always lead back into the masked text.
