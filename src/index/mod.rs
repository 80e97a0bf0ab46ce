//! Tantivy shards by day: writer with its own positions, search, query language. A derived view: lost shards are rebuilt from the stream.
