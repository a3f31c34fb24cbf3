package bench

import "slices"

func (b *bench) add(item, what string, value float64, unit string, floor float64, target *Target) {
	b.report.Figures = append(b.report.Figures, Figure{Item: item, What: what, Value: value, Unit: unit, Floor: floor, Target: target})
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func million(rows int64) float64 { return float64(rows) / 1e6 }
