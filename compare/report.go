package compare

// ReportVersion is the version of the [Report] document.
const ReportVersion = 1

// A Verdict answers whether the candidate behaves as the baseline does.
type Verdict string

const (
	Parity       Verdict = "parity"       // trials were compared, none differs and none is unknown
	Differs      Verdict = "differs"      // at least one trial differs
	Inconclusive Verdict = "inconclusive" // nothing differs, but what was seen does not suffice
)

// A Report is what comparing a run says. Its JSON form is a promise: fields are added, never changed.
type Report struct {
	Version   int      `json:"version"`
	Verdict   Verdict  `json:"verdict"`
	Reasons   []string `json:"reasons"`
	Baseline  string   `json:"baseline"`
	Candidate string   `json:"candidate"`
	Trials    Counts   `json:"trials"`
	// MismatchUpperBound95 is the share of invocations that may still differ, with 95 % confidence, if those to come
	// are like those compared. Of what was fired again, an invocation counts once, and differs if any of its trials does.
	// It is 1 when nothing was compared.
	MismatchUpperBound95 float64                   `json:"mismatchUpperBound95"`
	Functions            map[string]FunctionReport `json:"functions"`
	Clusters             []Cluster                 `json:"clusters"`
	Noise                []NoiseReport             `json:"noise,omitempty"` // of a calibrated run
	Proposals            []Proposal                `json:"proposals,omitempty"`
	Rules                []RuleReport              `json:"rules"`
	// RulesHash is of all rules as they were declared, 32 digits of their SHA-256 in lower-case hex: equal for reports that
	// were judged by the same rules.
	RulesHash string                     `json:"rulesHash"`
	Unchecked Unchecked                  `json:"unchecked"`
	Latency   map[string]FunctionLatency `json:"latency"`
	// Calibrated counts the trials in which both targets were fired at twice, with outcomes that could be compared.
	Calibrated int64 `json:"calibrated,omitempty"`
	// WithoutEffects counts the trials that were compared without their effects, which were watched on one side only.
	WithoutEffects int64       `json:"withoutEffects,omitempty"`
	Coverage       *Coverage   `json:"coverage,omitempty"` // where the recording was given
	Gate           *GateReport `json:"gate,omitempty"`     // where the run was judged by one

	invocations invocations // of all functions
}

// Counts says how many trials there were and how they counted. Total is the sum of the others.
type Counts struct {
	Total        int64 `json:"total"`
	Matched      int64 `json:"matched"`
	Differed     int64 `json:"differed"`
	Noisy        int64 `json:"noisy"`
	Inconclusive int64 `json:"inconclusive"`
	Unreplayable int64 `json:"unreplayable"`
}

func (c *Counts) count(k class) {
	c.Total++
	switch k {
	case matched:
		c.Matched++
	case differed:
		c.Differed++
	case noisy:
		c.Noisy++
	case inconclusive:
		c.Inconclusive++
	case unreplayable:
		c.Unreplayable++
	}
}

func (c *Counts) add(d Counts) {
	c.Total += d.Total
	c.Matched += d.Matched
	c.Differed += d.Differed
	c.Noisy += d.Noisy
	c.Inconclusive += d.Inconclusive
	c.Unreplayable += d.Unreplayable
}

// A FunctionReport is the part of the counts that one function has.
type FunctionReport struct {
	Trials Counts           `json:"trials"`
	Shapes map[string]int64 `json:"shapes"` // trials compared, by the shape of their event
	// DifferedShapes are those of the trials that differed.
	DifferedShapes map[string]int64 `json:"differedShapes,omitempty"`
	// Repeats counts the trials compared of invocations that were replayed before, by --repeat.
	Repeats int64 `json:"repeats,omitempty"`
	// MismatchUpperBound95 is that of this function's invocations.
	MismatchUpperBound95 float64 `json:"mismatchUpperBound95"`

	invocations invocations
}

// A Cluster gathers the differences that likely have one cause.
type Cluster struct {
	// ID is the same for the same cause in another run. Of one of several causes at a place it is that of the place, "-" and
	// that of the cause; the place's alone where there is one cause, or where the others are gathered.
	ID       string  `json:"id"`
	Function string  `json:"function"`
	Path     string  `json:"path"` // with * for what varies from trial to trial
	Kind     Kind    `json:"kind"`
	Effect   string  `json:"effect,omitempty"` // the effect that the path is in: "object.put orders-bucket"
	Trials   int64   `json:"trials"`
	Share    float64 `json:"share"` // of the function's trials that were compared
	Cause    string  `json:"cause"`
	// Also are the places that disagree likewise in the same trials, or because of this difference.
	Also     []string  `json:"also,omitempty"`
	Examples []Example `json:"examples"`           // those with the smallest invocation IDs
	Smallest *Example  `json:"smallest,omitempty"` // of the smallest outcomes
	// Alike are the IDs of the clusters of other functions with the same cause at the same place.
	Alike []string `json:"alike,omitempty"`
	// Condition tells the events of the cluster's trials from those of the function's others.
	Condition string `json:"condition,omitempty"`
}

// An Example is one trial of a cluster. A value is nil where the side has none.
type Example struct {
	Invocation string  `json:"invocation"`
	Path       string  `json:"path"`
	Key        string  `json:"key,omitempty"` // of the effect that the path is in
	Baseline   *string `json:"baseline"`
	Candidate  *string `json:"candidate"`
	// Diff has lines that begin with "-" for the baseline, "+" for the candidate and a space for what is beside them.
	Diff []string `json:"diff,omitempty"`
}

// A NoiseReport says how a field of a calibrated run, in which every invocation was fired at each target twice,
// disagrees with itself.
type NoiseReport struct {
	Function string `json:"function"`
	Path     string `json:"path"` // with * for what varies from trial to trial
	Effect   string `json:"effect,omitempty"`
	Kind     string `json:"kind,omitempty"` // of noise, as far as samples tell
	// Trials were calibrated. Of these, Baseline and Candidate disagreed with themselves, and First is how often the
	// first outcomes of the two disagreed.
	Trials    int64 `json:"trials"`
	Baseline  int64 `json:"baseline"`
	Candidate int64 `json:"candidate"`
	First     int64 `json:"first"`
	// P is the smallest p-value of the field's tests, and Evidence what they found; "" when noise explains the field.
	P        float64 `json:"p"`
	Evidence string  `json:"evidence,omitempty"`

	of respect // in which the field is noisy
}

// A RuleReport says what one rule did.
type RuleReport struct {
	Rule
	Applied int64 `json:"applied"` // values that the rule was asked about
	Hits    int64 `json:"hits"`    // unequal values that it took as equal
	// Leaves are the baseline's values, neither lists nor objects, that the rule could have taken as equal to others: of
	// all that [Unchecked] counts, what it leaves unchecked or checks less. In lists within lists without order a value
	// counts once for each.
	Leaves  int64 `json:"leaves"`
	Expired bool  `json:"expired"`
	// OutOfScope says that the rule is for other baselines. It was not asked about anything, and has not expired here.
	OutOfScope bool `json:"outOfScope,omitempty"`
}

// Unchecked says how much of the baseline's outcomes rules no longer check.
type Unchecked struct {
	Leaves  int64   `json:"leaves"` // values that are neither lists nor objects
	Ignored int64   `json:"ignored"`
	Share   float64 `json:"share"`
}

// A FunctionLatency compares the durations of one function's warm invocations.
type FunctionLatency struct {
	Baseline  Percentiles `json:"baseline"`
	Candidate Percentiles `json:"candidate"`
	// Ratio has the candidate's over the baseline's, as an interval that covers the true ratio with 95 % confidence.
	// A percentile is not there when there are too few trials to tell: 100 for p99.
	Ratio      map[string][2]float64 `json:"ratio"`
	Slower     *Slower               `json:"slower,omitempty"`
	ColdStarts *ColdLatency          `json:"coldStarts,omitempty"`
	Usage      UsageOfBoth           `json:"usage"`
}

// UsageOfBoth is the usage of both sides, nil where nothing ran.
type UsageOfBoth struct {
	Baseline  *Usage `json:"baseline,omitempty"`
	Candidate *Usage `json:"candidate,omitempty"`
}

// Percentiles are durations in milliseconds.
type Percentiles struct {
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Count int64   `json:"count"`
	Cold  int64   `json:"cold"` // cold starts, which are not among these
}

// Slower says whether the candidate is the slower one, by the test of Mann and Whitney.
type Slower struct {
	// Probability is how likely an invocation of the candidate takes longer than one of the baseline; 0.5 is neither.
	Probability float64 `json:"probability"`
	P           float64 `json:"p"` // of a deviation from 0.5 like this or larger, were neither the slower one
}

// ColdLatency compares the durations of cold starts, with their initialization.
type ColdLatency struct {
	Baseline  Percentiles           `json:"baseline"`
	Candidate Percentiles           `json:"candidate"`
	Ratio     map[string][2]float64 `json:"ratio"`
}

// Usage is what the invocations of one side have used of what its deployment has.
type Usage struct {
	LongestMS       float64  `json:"longestMs"`           // as the platform says, where it does
	TimeoutMS       float64  `json:"timeoutMs,omitempty"` // of the config
	TimeoutHeadroom *float64 `json:"timeoutHeadroom,omitempty"`
	MemoryMB        float64  `json:"memoryMb,omitempty"` // the most; 0 when the platform does not say
	MemoryLimitMB   float64  `json:"memoryLimitMb,omitempty"`
	MemoryHeadroom  *float64 `json:"memoryHeadroom,omitempty"`
	MeanBilledMS    float64  `json:"meanBilledMs"`
	Billed          int64    `json:"billed"` // trials whose platform said what it bills; of others it is the duration
	PricePerMillion *float64 `json:"pricePerMillion,omitempty"`
}
