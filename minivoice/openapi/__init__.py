"""The OpenAPI document, made of the routes and of what each handler says with `schema.operation`, and its pages."""
