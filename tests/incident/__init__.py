"""The story that Prism is built from, on real servers; see product.md's promises in docs/explanation/delivery.md."""
