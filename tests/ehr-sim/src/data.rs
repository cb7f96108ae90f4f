//! Synthetic EHR databases: schemas invented for this simulator, rows from a seeded generator.
