package deviceapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
	"github.com/tandem-rsa/tandem/service/strictjson"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// problem is the answer in place of another.
type problem struct {
	status int
	body   devicewire.Error
}

func (p *problem) Error() string { return "deviceapi: " + p.body.Code }

var (
	unauthorized = &problem{http.StatusUnauthorized, devicewire.Error{Code: devicewire.Unauthorized}}
	tooMany      = &problem{http.StatusServiceUnavailable, devicewire.Error{Code: devicewire.Busy}}
	noSuchPath   = &problem{http.StatusNotFound, devicewire.Error{Code: devicewire.NotFound, Detail: "no such path"}}
	tooLarge     = &problem{http.StatusRequestEntityTooLarge, devicewire.Error{Code: devicewire.TooLarge}}
)

// causes say what a phone is told of an error.
var causes = []struct {
	err    error
	status int
	code   string
}{
	{accounts.ErrEnded, http.StatusForbidden, devicewire.Ended},
	{accounts.ErrCode, http.StatusNotFound, devicewire.NoCode},
	{accounts.ErrNotApproved, http.StatusConflict, devicewire.NotApproved},
	{accounts.ErrUnconfirmed, http.StatusConflict, devicewire.Unconfirmed},
	{accounts.ErrSignature, http.StatusForbidden, devicewire.WrongSignature},
	{transactions.ErrNotFound, http.StatusNotFound, devicewire.NotFound},
	{transactions.ErrGone, http.StatusGone, devicewire.Gone},
	{transactions.ErrOrder, http.StatusConflict, devicewire.Order},
	{transactions.ErrWrongCode, http.StatusGone, devicewire.WrongCode},
	{transactions.ErrWrongAccount, http.StatusForbidden, devicewire.WrongAccount},
	{push.ErrNoAccount, http.StatusForbidden, devicewire.Ended},
	{devicelink.ErrMalformed, http.StatusForbidden, devicewire.WrongLink},
	{devicelink.ErrLink, http.StatusForbidden, devicewire.WrongLink},
	{devicelink.ErrOutdated, http.StatusGone, devicewire.Outdated},
	{server.ErrRefused, http.StatusForbidden, devicewire.Refused},
}

// problemOf says what a phone is told of an error. What is not listed is the service's
// affair.
func problemOf(err error) *problem {
	var (
		known    *problem
		wrong    *strictjson.Error
		unusable *transactions.UnusableError
		later    *quota.Later
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		return &problem{http.StatusBadRequest, devicewire.Error{Code: devicewire.Invalid, Detail: wrong.Problem, Pointer: wrong.Pointer}}
	case errors.As(err, &unusable):
		return &problem{http.StatusConflict, devicewire.Error{Code: devicewire.Unusable, EndResult: unusable.End.String()}}
	case errors.As(err, &later):
		seconds := int64((later.After + time.Second - 1) / time.Second)
		return &problem{http.StatusTooManyRequests, devicewire.Error{Code: devicewire.Later, RetryAfter: max(seconds, 1)}}
	case errors.Is(err, accounts.ErrRequest), errors.Is(err, transactions.ErrRequest), errors.Is(err, push.ErrAddress):
		return &problem{http.StatusBadRequest, devicewire.Error{Code: devicewire.Invalid, Detail: err.Error()}}
	case errors.Is(err, context.Canceled):
		return &problem{http.StatusServiceUnavailable, devicewire.Error{Code: devicewire.Busy}} // nobody hears it
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return &problem{c.status, devicewire.Error{Code: c.code}}
		}
	}
	return &problem{http.StatusInternalServerError, devicewire.Error{Code: devicewire.Internal}}
}
