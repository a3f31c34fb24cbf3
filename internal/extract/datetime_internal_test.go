package extract

import (
	"math"
	"testing"
	"time"
)

// TestCivil holds every date that Salesforce stores, and the ends of what Postgres can hold, against
// the standard library.
func TestCivil(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	check := func(days int32) {
		want := epoch.Add(time.Duration(days%100_000) * 24 * time.Hour)
		for range days / 100_000 {
			want = want.AddDate(0, 0, 100_000)
		}
		for range -days / 100_000 {
			want = want.AddDate(0, 0, -100_000)
		}
		year, month, day := civil(days)
		if int(year) != want.Year() || month != int64(want.Month()) || int(day) != want.Day() {
			t.Fatalf("day %d is %d-%d-%d, want %s", days, year, month, day, want.Format(time.DateOnly))
		}
	}
	for days := int32(-120_000); days < 740_000; days++ {
		check(days)
	}
	// 4714-11-24 BC, 5874897-12-31 and what lies around.
	for _, days := range []int32{-2_451_545, -2_451_544, -730_485, -730_486, 2_921_940, 2_145_031_948, math.MaxInt32 - 1} {
		check(days)
	}
}
