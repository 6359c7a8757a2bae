"""The keeper of the keys: access tokens are issued and verified here, one signing key per tenant.

`tokens.issue` makes an access token, `AccessTokens.caller` turns one into the `Caller` it stands for, `jwt.verified` is
the one strict verifier of every JSON Web Token, and `jwks.router` publishes the public keys.
RFC 7519, RFC 9068, https://hl7.org/fhir/smart-app-launch/STU2.2/
"""
