// POST /login: a name and a password for an identity.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"
	"github.com/labstack/echo/v4"
)

// credentials are the body of POST /login.
type credentials struct {
	Username string `json:"username" validate:"required"`
	Password string `json:"password" validate:"required"`
}

func (s *server) login(c echo.Context) error {
	var sent credentials
	if err := c.Bind(&sent); err != nil {
		// An ignored error here would go on with empty strings.
		return badBody(c, err)
	}
	if err := validate.Struct(sent); err != nil {
		return badFields(c, err)
	}

	// TODO(13.1): ask the table users, s.cfg.SQL. Of s.cfg.DB only Verify and
	// DecoyHash are left.
	// TODO(13.5): a database that fails is no wrong password.
	user, known := s.cfg.DB.Lookup(sent.Username)
	hash := user.PasswordHash
	if !known {
		// Without a hash to check there would be no work to do, and an answer
		// that comes at once tells an attacker that the name is free. So a
		// stranger's password is checked too, against a hash that nobody's fits.
		hash = s.cfg.DB.DecoyHash()
	}
	// Verify comes first: "known && …" would skip it for strangers.
	if !s.cfg.DB.Verify(hash, sent.Password) || !known {
		// One answer for both mistakes. "No such user" would be a list of our
		// users for whoever has the patience to ask.
		return c.JSON(http.StatusUnauthorized, map[string]any{"error": "Bad username or password"})
	}
	return s.welcome(c, user)
}

// badBody answers what is no JSON object, or one with a field of a wrong type.
func badBody(c echo.Context, err error) error {
	var http4xx *echo.HTTPError
	if errors.As(err, &http4xx) && http4xx.Code == http.StatusRequestEntityTooLarge {
		return err // 413 says more than 400
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) && mistyped.Field != "" {
		// Say which field and which type, never what was in it: it may be a password.
		problem := map[string]string{mistyped.Field: fmt.Sprintf("must be a %s", mistyped.Type)}
		return c.JSON(http.StatusBadRequest, map[string]any{"error": problem})
	}
	return c.JSON(http.StatusBadRequest, map[string]any{"error": "the body must be a JSON object"})
}

// validate reports fields by the names that the client knows.
var validate = func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	return v
}()

// badFields answers {"error": {"password": "is required"}}.
func badFields(c echo.Context, err error) error {
	problems := map[string]string{}
	var invalid validator.ValidationErrors
	if errors.As(err, &invalid) {
		for _, field := range invalid {
			problems[field.Field()] = "is " + field.Tag()
		}
	}
	return c.JSON(http.StatusBadRequest, map[string]any{"error": problems})
}
