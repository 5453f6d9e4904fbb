package subject

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAStepEndsInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := UntilSilence(t.Context(), 5*time.Second, 30*time.Second)
		defer cancel()
		request, hangUp := context.WithCancel(ctx)
		defer hangUp()
		for range 5 {
			time.Sleep(4 * time.Second)
			answered(request)
			require.NoError(t, ctx.Err(), "a slow server answers")
		}
		<-request.Done()
		assert.Equal(t, 25*time.Second, time.Since(began), "five seconds after the last answer")
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		assert.ErrorIs(t, request.Err(), context.DeadlineExceeded)
		answered(request) // too late: nothing is to happen
		synctest.Wait()
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestAStepEndsAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := UntilSilence(t.Context(), 5*time.Second, 30*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			time.Sleep(time.Second)
			answered(ctx)
			synctest.Wait()
		}
		assert.Equal(t, 30*time.Second, time.Since(began))
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestAStepEndsWithWhoAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("interrupted")
		parent, interrupt := context.WithCancelCause(t.Context())
		ctx, cancel := UntilSilence(parent, 5*time.Second, 30*time.Second)
		defer cancel()
		interrupt(why)
		<-ctx.Done()
		assert.ErrorIs(t, ctx.Err(), context.Canceled)
		assert.Equal(t, why, context.Cause(ctx))
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := UntilSilence(t.Context(), 5*time.Second, 30*time.Second)
		cancel()
		<-ctx.Done()
		assert.ErrorIs(t, ctx.Err(), context.Canceled)
		answered(context.Background()) // a context of another kind
	})
}

// Who closes the laptop for an hour in the middle of a step has no server that hangs.
func TestAMachineThatStoodStillIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := UntilSilence(t.Context(), 5*time.Second, 30*time.Second)
		defer cancel()
		s := ctx.(*silence)
		at := func(later time.Duration) { // as a look that comes so late
			s.mu.Lock()
			defer s.mu.Unlock()
			s.look(s.last.Add(later), false)
		}
		at(time.Hour)
		at(time.Hour)
		require.NoError(t, ctx.Err(), "two slices of ten have counted")
		for range 8 {
			require.NoError(t, ctx.Err())
			at(500 * time.Millisecond)
		}
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}
