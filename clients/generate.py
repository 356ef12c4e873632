"""Write what is made of the OpenAPI: the Python client's operations and the Postman collection. `make clients`"""

from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ROOT / "clients" / "python" / "minivoice_client" / "operations.py"
COLLECTION = ROOT / "clients" / "postman_collection.json"


def main() -> None:
    """Write both files from the document that the code gives."""
    django.setup()
    from clients import postman, python_source
    from minivoice.openapi.document import document

    OPERATIONS.write_text(python_source.module(document()))
    COLLECTION.write_text(postman.collection(document()))


if __name__ == "__main__":
    main()
