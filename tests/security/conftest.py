from tests.conformance.conftest import site

__all__ = ["site"]
