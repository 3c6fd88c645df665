Feature: a contract that trades elsewhere
  Its orders are gated here and sent there; what the venue says is booked against the venue's account.

  Scenario: sent, acknowledged, executed
    Given ETHER trades at the venue of Deribit
    When Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is open
    And the venue says that 2 of "there" of Ann traded at 59990 for 1 dollar
    Then Ann holds 2 ETHER
    And Deribit holds -2 ETHER
    And "there" has 3 left
    When the venue says that 3 of "there" of Ann traded at 60001 for 1 dollar
    Then it is refused: PRICE_BAND 60001 60000
    When the venue says that 4 of "there" of Ann traded at 60000 for 1 dollar
    Then it is refused: QUANTITY 4 3

  Scenario: a cancel is a wish until the venue says that it is over
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    When Ann cancels "there"
    Then "there" has 5 left
    When Ann cancels "there"
    Then it is refused: ORDER_STATUS "there" 2
    When the venue says that "there" of Ann is over
    Then "there" ended: BY_VENUE 0 0

  Scenario: while an outcome is unknown the account may only reduce
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is unknown
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: OUTCOME_UNKNOWN 1 0
    When the venue says that "there" of Ann is open
    And Ann buys 1 PERPETUAL at 60000
    Then it is taken

  Scenario: an order is edited once the venue said that it is open, and while it is known to be
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    When Ann edits "there" to 4 at 60000
    Then it is refused: ORDER_STATUS "there" 2
    When the venue says that "there" of Ann is open
    And Ann edits "there" to 8 at 60010
    Then "there" has 8 left, at 60010
    When the venue says that "there" of Ann is unknown
    And Ann edits "there" to 4 at 60010
    Then it is refused: ORDER_STATUS "there" 4

  Scenario: an edit is checked like one here, and a refused one leaves the order as it was
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is open
    And Ann may order at most 10 lots of ETHER
    When the venue says that 2 of "there" of Ann traded at 60000 for 1 dollar
    And Ann edits "there" to 13 at 60000
    Then it is refused: QUANTITY 11 10
    And "there" has 3 left, at 60000
    When Ann edits "there" to 12 at 59990
    Then "there" has 10 left, at 59990
    When people set the venue to HALTED
    And Ann edits "there" to 13 at 59990
    Then it is refused: VENUE_HALTED 2 1
    When Ann edits "there" to 11 at 59990
    Then "there" has 9 left, at 59990

  Scenario: an edit to what is filled asks for the cancel
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is open
    And the venue says that 2 of "there" of Ann traded at 60000 for 1 dollar
    When Ann edits "there" to 2 at 60000
    Then "there" has 3 left
    When Ann edits "there" to 9 at 60000
    Then it is refused: ORDER_STATUS "there" 3

  Scenario: what never rests is not edited
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000, immediate or cancel as "there"
    And the venue says that "there" of Ann is open
    When Ann edits "there" to 4 at 60000
    Then it is refused: ORDER_FORM 0 0

  Scenario: the terms that the venue reports hold, whatever the controls say
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    And Ann may order at most 5 lots of ETHER
    And people set the venue to HALTED
    When the venue says that "there" of Ann has 7 left at 60100
    Then "there" has 7 left, at 60100
    When the venue says that 7 of "there" of Ann traded at 60100 for 1 dollar
    Then Ann holds 7 ETHER
    When the venue says that "there" of Ann has 7 left at 60100
    Then it is refused: UNKNOWN_ORDER "there" 3

  Scenario: a trade made elsewhere is booked, whatever the controls say
    Given ETHER trades at the venue of Deribit
    And Ann may not trade
    And people set the venue to HALTED
    When the venue says that Ann bought 5 ETHER at 60000 for 2 dollars
    Then Ann holds 5 ETHER
    And Deribit holds -5 ETHER
    And Ann has 998 dollars of cash
    And Deribit has 2 dollars of cash
    When the venue says that Ann sold 7 ETHER at 60010 for 1 dollar
    Then Ann holds -2 ETHER
    And Ann has 997 dollars of cash

  Scenario: money that moved elsewhere is booked
    Given ETHER trades at the venue of Deribit
    When the venue says that Ann paid 3 dollars over ETHER
    And the venue says that Ann received 7 dollars over ETHER
    Then Ann has 1004 dollars of cash
    And Deribit has -4 dollars of cash

  Scenario: whom a trade made elsewhere takes below the requirement is called
    Given ETHER trades at the venue of Deribit
    And Ann buys 1 PERPETUAL at 60000 as "here"
    When the venue says that Ann bought 2000 ETHER at 60000 for 0 dollars
    Then Ann is restricted
    And "here" is gone

  Scenario: nothing is booked elsewhere in what trades here
    When the venue says that Ann bought 5 ETHER at 60000 for 1 dollar
    Then it is refused: NOT_UPSTREAM 5 0
