"""The standard normal distribution function, P(z) = (1 + erf(z / sqrt(2))) / 2, where a format has no erf.

P(z) = 1 / (1 + exp(-z R(z^2))), where z R(z^2) is the logarithm of P / (1 - P). R is a polynomial for single precision and a
rational function for double precision, whose coefficients are all positive, so that nothing cancels. Both were fitted with
mpmath in 60 digits: least squares of R on Chebyshev nodes of 0 < z < top, weighted by P (1 - P) z, so that the error of P
counts, and reweighted 25 times by the error at each node (Lawson), which makes the largest error small. The fit alone errs by
2.8e-8 (single, top = 5.5) and 6.5e-17 (double, top = 8.3); with rounding, P errs by 1.3e-7 and 2.3e-16 at most.
"""

# Beyond this z^2 the rational function is constant for all purposes; the bound keeps its terms finite.
LARGEST = 200.0

# Coefficients of 1, z^2, z^4 ... in R.
SINGLE = (
    1.595769861354466,
    0.07266621736151027,
    -6.520264002858517e-05,
    -0.00011061634596130673,
    7.931054362801869e-06,
    -2.6469274390630833e-07,
    3.517439604023567e-09,
)
NUMERATOR = (
    1.595769121605728,
    0.3444925857368177,
    0.04838553578315787,
    0.0042186520283488,
    0.00026512403852020096,
    1.1276032728964675e-05,
    3.2176855713275066e-07,
    4.852568375198705e-09,
    1.5460709036616077e-11,
)
DENOMINATOR = (
    1.0,
    0.17033878982959505,
    0.02261027093633065,
    0.0016872459020241364,
    9.79146722643494e-05,
    3.4581319464352767e-06,
    8.4961794251528e-08,
    7.049229343250658e-10,
    5.942051452543444e-13,
)
