// A file of its own: the page's policy allows no inline script. `validatorUrl` would ask a validator outside.
window.SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});
